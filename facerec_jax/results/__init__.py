"""What a person looks at: meshes, pictures, codes as text, report pages."""
